// Keeps the conversation over a reload, in this tab and nowhere else.

const name = "reverie-document";

/** The exchanges as they were; those that were still being answered count as stopped. */
export function load() {
  try {
    const exchanges = JSON.parse(sessionStorage.getItem(name)) ?? [];
    for (const { answer } of exchanges) if (answer.state === "waiting") answer.state = "stopped";
    return exchanges;
  } catch {
    return []; // written by another version of this page
  }
}

/** Whether there was room for them: large photographs may exceed what a browser grants. */
export function save(exchanges) {
  try {
    sessionStorage.setItem(name, JSON.stringify(exchanges));
    return true;
  } catch {
    sessionStorage.removeItem(name);
    return false;
  }
}
