"""Files that stand on disk whole, read with every fault named."""
