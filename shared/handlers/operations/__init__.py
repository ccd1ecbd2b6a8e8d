"""A request on many users: accept, snapshot, forecast, approve, dispatch, control, roll back."""
