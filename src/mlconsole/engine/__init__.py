"""The process beside the UI: feeds, store of snapshots, channel, plans and the gateway of every write."""
