"""darkroom.toml brought to life: plan, run and show the stages; init and quickstart."""
