// The task graph on the client's own Workflow engine. A hook fills in `args` from the history's rows; the agents fetch
// their briefings themselves, so neither the graph's prompts nor its results pass through the main conversation.
export const meta = {
  name: 'run',
  description: 'Run the planned tasks of the open orchestration',
  phases: [{ title: 'Execute', detail: 'one agent for each task, when the tasks it waits for are done' }],
}

function read(given) { // a model that fills in args itself may hand over text
  try { return typeof given === 'string' ? JSON.parse(given) : given } catch { return null }
}

const graph = read(args)
if (!graph || !Array.isArray(graph.tasks)) {
  return 'Nothing was run: the task graph is missing, because the hooks of the orchestrator did not fill it in. '
    + 'Run `orchestrator doctor`.'
}

const promptFor = (task) => [
  `Run: orchestrator brief ${task.id}`,
  'Your first act is that Bash command, exactly as it stands. What it prints is your briefing: do what it says.',
  'If it is refused, answer NO BRIEFING and the reason, and stop.',
].join('\n')

async function attempt(task) {
  try {
    const result = await agent(promptFor(task), {
      label: `${task.id} ${task.title || ''}`.trim(),
      phase: 'Execute',
      ...(task.agent && { agentType: task.agent }),
      ...(task.model && { model: task.model }),
    })
    return result === null || /^\W*NO BRIEFING/.test(String(result)) ? 'failed' : 'done'
  } catch (error) { // an agent type that is not there, or the client's own limit
    log(`${task.id}: ${error && error.message ? error.message : error}`)
    return 'failed'
  }
}

phase('Execute')
const limit = Math.max(1, Number(graph.limit) || 5)
const state = new Map(graph.tasks.map((task) => [task.id, 'waiting']))
const inFlight = new Map()
const isDone = (id) => !state.has(id) || state.get(id) === 'done' // a task that is not listed had ended before
const isReady = (task) => state.get(task.id) === 'waiting' && (task.after || []).every(isDone)

for (;;) {
  for (const task of graph.tasks.filter(isReady).slice(0, limit - inFlight.size)) {
    state.set(task.id, 'running')
    inFlight.set(task.id, attempt(task).then((end) => { state.set(task.id, end); inFlight.delete(task.id) }))
  }
  if (inFlight.size === 0) break // nothing runs and nothing can start: what still waits is behind a failure
  await Promise.race(inFlight.values())
}

const those = (end) => graph.tasks.map((task) => task.id).filter((id) => state.get(id) === end)
return { orchestration: graph.orchestration, done: those('done'), failed: those('failed'), skipped: those('waiting') }
