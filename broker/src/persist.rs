//! Writes the files of `config/`: durably, with the version before as `.bak`.
