"""What comes from outside: pinned addresses, digests, mirrors and the hub."""
