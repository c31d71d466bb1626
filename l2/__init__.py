"""Layer 2: the channels between hospitals, and the records that travel beside them."""
