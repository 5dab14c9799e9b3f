"""The Textual application: it renders snapshots and emits intents, and decides nothing."""
