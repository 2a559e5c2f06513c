"""Recording a search to MLflow, and showing it there.

Import from the modules, each of which loads only what it needs (MLflow alone takes 2.6 s):
`check` the address, `runs` parent and children, `outcome` what a search came to, `outbox` deliver
events although the server goes away, `retry` do so with a single call, `registry` the winner as a
registered model, `figures` and `report` what is shown of it, `view` MLflow's saved views, `ui`
serve MLflow's pages.
"""
