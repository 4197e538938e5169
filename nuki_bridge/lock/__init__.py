"""One lock, driven over its link: exchanges, actions with their true outcomes, pairing, the owner's commands."""
