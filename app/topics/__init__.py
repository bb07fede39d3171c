"""The topics: made, and checked for what would let a purged record live on."""
