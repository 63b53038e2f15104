"""The same network in other runtimes, timed for comparison. Needs the extra ``bench``."""
