// The dialog with the code that makes an answer again, to copy.

import { byId, element } from "./element.js";
import { requestsOf } from "./exchange.js";
import { code } from "./request_code.js";
import { address, apiKey } from "./server.js";

/** Shows the request of an answer; where no one request makes what is seen, of which part of it is a choice. */
export function showRequest(answer) {
  const requests = requestsOf(answer);
  const choices = requests.map(({ label }, at) => {
    const input = element("input", { type: "radio", name: "made", value: at, checked: at === requests.length - 1 });
    return element("label", {}, input, label);
  });
  byId("request-made").replaceChildren(byId("request-made").querySelector("legend"), ...choices);
  byId("request-made").hidden = requests.length === 1;
  const write = () => {
    const language = document.querySelector("[name=language]:checked").value;
    const { request } = requests[document.querySelector("[name=made]:checked").value];
    byId("request-code").value = code(language, request, address("v1"), apiKey.get() !== null);
    say("");
  };
  byId("request").onchange = write;
  write();
  byId("request").showModal();
}

async function copy() {
  const copied = await navigator.clipboard?.writeText(byId("request-code").value).then(() => true, () => false);
  // Without a secure connection there is no clipboard; what is selected can still be copied by hand.
  if (!copied) byId("request-code").select();
  say(copied ? "Copied" : "Selected: copy it with the keyboard");
}

/** On the button for who looks, in the dialog for who listens. */
function say(text) {
  byId("copy").textContent = text || "Copy";
  byId("copied").textContent = text;
}

byId("copy").addEventListener("click", copy);
document.querySelector("[data-close]").addEventListener("click", () => byId("request").close());
