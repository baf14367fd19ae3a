"""A Label Studio server on this machine: installation, process and connection."""
