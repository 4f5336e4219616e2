"""One YAML file per dataset; `README.md` beside this file describes them and their schema."""
