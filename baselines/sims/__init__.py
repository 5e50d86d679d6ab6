"""SIMS (Qi et al. 2018): images put together from pieces of training photos, then made whole by a network."""
