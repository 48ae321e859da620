//! How directory, variables and functions carry from command to command: as data in a file of the sandbox.
