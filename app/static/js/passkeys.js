// The browser's side of passkeys: a form with data-passkey is answered by a device and sent.
"use strict";

(() => {
  const form = document.querySelector("form[data-passkey]");
  if (!form) return;
  const problem = form.querySelector("[role=alert]");
  let waiting = null;

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");

  const readable = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));

  // Named fields only, for browsers and password managers without toJSON() or with another idea of it.
  const answerOf = (credential) => {
    const response = credential.response;
    const fields = { clientDataJSON: toText(response.clientDataJSON) };
    if (response.attestationObject) {
      fields.attestationObject = toText(response.attestationObject);
      fields.transports = response.getTransports ? response.getTransports() : [];
    } else {
      fields.authenticatorData = toText(response.authenticatorData);
      fields.signature = toText(response.signature);
      if (response.userHandle) fields.userHandle = toText(response.userHandle);
    }
    return { id: credential.id, rawId: toText(credential.rawId), type: credential.type, response: fields };
  };

  const ask = async () => {
    if (waiting) waiting.abort();
    const mine = (waiting = new AbortController());
    problem.hidden = true;
    const options = JSON.parse(form.dataset.options);
    options.challenge = toBytes(options.challenge);
    options.excludeCredentials = readable(options.excludeCredentials);
    options.allowCredentials = readable(options.allowCredentials);
    if (options.user) options.user.id = toBytes(options.user.id);
    try {
      const wish = { publicKey: options, signal: mine.signal };
      const credential = await navigator.credentials[form.dataset.passkey](wish);
      form.elements.credential.value = JSON.stringify(answerOf(credential));
      form.submit();
    } catch (error) {
      if (mine === waiting) problem.hidden = false;
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  ask();
})();
