# Agenten: Versionen und Aktualisierung.
agent-newer = dieser Server hat { $version }
order-upgrade-agent = Agent aktualisieren
order-upgrade-agent-what = Der Agent wird durch den ersetzt, den dieser Server hat. Nimmt der neue seine Arbeit nicht binnen zwei Minuten auf, kommt der alte zurück, und der Job nennt den Grund.
concern-old-agent = Alter Agent
concern-old-agent-what = dieser Server hat einen neueren
part-agents = Agenten
found-agents = kein Agent ist älter als { $version }, den dieser Server hat
found-agents-old = Clients mit einem älteren Agenten als { $version }, den dieser Server hat: { $count }
remedy-agents-old = Aktualisieren Sie sie: `lotse agent upgrade --where 'agent<{ $version }'`, oder mit einem Rollout des Jobs „Agent aktualisieren“.
