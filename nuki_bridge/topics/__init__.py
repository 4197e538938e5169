"""The MQTT tree: its topics, what requests take, what is kept retained."""
