"""The panes of the main screen: each shows one thing of the selected service, from what is known."""
