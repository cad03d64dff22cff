# Agents: versions and upgrades.
agent-newer = this server has { $version }
order-upgrade-agent = Upgrade the agent
order-upgrade-agent-what = The agent is replaced by the one that this server has. When the new one does not take up its work within two minutes, the old one comes back and the job says why.
concern-old-agent = Old agent
concern-old-agent-what = this server has a newer one
part-agents = Agents
found-agents = no agent is older than { $version }, which this server has
found-agents-old = Clients with an agent older than { $version }, which this server has: { $count }
remedy-agents-old = Upgrade them: `lotse agent upgrade --where 'agent<{ $version }'`, or a rollout of the job “Upgrade the agent”.
