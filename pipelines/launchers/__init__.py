"""Scripts and manifests that let a scheduler run the command line on many machines; `templates/` has them."""
