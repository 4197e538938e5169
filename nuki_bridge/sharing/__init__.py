"""A door shared with others: invitations, credentials, and the relay that guests' messages go through."""
