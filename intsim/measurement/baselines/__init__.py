"""The same network on other machines' arithmetic, to be timed beside ours. Needs the extra ``bench``."""
