"""What the fault suite is made of: real processes that can be killed, an audit by MLflow's own client, and a count of it all."""
