"""The methods: one file per generator, norms, discriminators, encoder, method definitions."""
