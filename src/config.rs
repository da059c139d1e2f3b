//! Every setting in one YAML file, each with its unit and default.
