"""photogenic.toml: the settings of a project, and where each setting comes from.

In: a file that may come from a stranger, the environment, the last build. Out: checked values for the methods of
`FeatureStore`, which the command line calls too. The file names no code, no secret and no other machine.
"""

__all__: list[str] = []
