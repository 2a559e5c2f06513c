"""Recording a search to MLflow, and showing it there.

Import from the modules, each of which loads only what it needs (MLflow alone takes 2.6 s):
`check` the address, `runs` parent and children, `outbox` deliver events although the server goes
away, `figures` the front, `view` MLflow's saved view, `ui` serve MLflow's pages.
"""
