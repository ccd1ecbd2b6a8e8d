"""The function app: registers the triggers, and nothing else. Wiring happens at the first invocation."""

import azure.functions as func

from functions import api, members, notifications, onboarding, operations, timers

app = func.FunctionApp()

for blueprint in (operations.bp, members.bp, notifications.bp, onboarding.bp, timers.bp, api.bp):
    app.register_functions(blueprint)
