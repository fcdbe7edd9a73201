// What takes less room in JavaScript than through web-sys: one request and its answer
// (docs/adr/0002-tracker-dependencies.md).

/**
 * Sends an envelope. Text as body makes it `text/plain`: a request without preflight.
 * @param {string} url
 * @param {string} body
 * @param {boolean} keepalive
 * @param {number} flight given back with the answer
 * @param {(flight: number, status: number, acknowledged: boolean, retryAfterS: number) => void} answered
 */
export function send(url, body, keepalive, flight, answered) {
  fetch(url, { method: "POST", body, keepalive, credentials: "omit" })
    .then((response) =>
      response.text().then((text) =>
        // Retry-After may be a date; that is no number, and falls back to our own pause.
        answered(flight, response.status, /"accepted":\s*\d/.test(text), response.headers.get("retry-after") | 0),
      ),
    )
    .catch(() => answered(flight, 0, false, 0));
}
