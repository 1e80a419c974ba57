// Keeps the conversation and the message that is being written over a reload, in this tab and nowhere else.

const name = "reverie-document";

/** `{ exchanges, draft }` as they were; an exchange that was still being answered counts as stopped. */
export function load() {
  try {
    const { exchanges = [], draft = [] } = JSON.parse(sessionStorage.getItem(name)) ?? {};
    for (const { answer } of exchanges) if (answer.state === "waiting") answer.state = "stopped";
    return { exchanges, draft };
  } catch {
    return { exchanges: [], draft: [] }; // written by another version of this page
  }
}

/** Whether there was room: large photographs may exceed what a browser grants. What was kept before is kept then. */
export function save(document) {
  try {
    sessionStorage.setItem(name, JSON.stringify(document));
    return true;
  } catch {
    return false;
  }
}
