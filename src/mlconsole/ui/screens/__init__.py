"""The screens: the main one with its panes, and those that lie over it for one purpose each."""
