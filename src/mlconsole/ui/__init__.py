"""The screen: widgets that render what the engine publishes and send what the operator intends, with no logic."""
