"""The protocols that are shipped, one file each; an entry makes a protocol for a suite.

entry(suite: Suite) -> Protocol, or None where it means nothing for that suite. `native`, the suite's own,
is what scores by default; the others change it.
"""
