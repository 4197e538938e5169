"""The invited person's side: redeeming a code, and the lock over the relay or by Bluetooth."""
