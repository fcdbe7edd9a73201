// What a script did in a browser, in the numbers that the query API gives.

const add = (counts, key, by = 1) => {
  counts[key] = (counts[key] ?? 0) + by;
};

export class Tally {
  visitors = 0;
  sessions = 0;
  bounces = 0;
  pageviews = 0;
  events = 0;
  pageviews_by_path = {};
  events_by_name = {};
  props_by_event = {};
  entry_pages = {};
  sources = {};
  users = [];
  browser = "Chrome";
  os = "Linux";
  device = "Desktop";

  /** A visitor's session. Visits that nobody sent are under the source `(direct)`. */
  session({ entry, source = "(direct)", user, bounced = false }) {
    this.visitors += 1;
    this.sessions += 1;
    this.bounces += bounced ? 1 : 0;
    add(this.entry_pages, entry);
    add(this.sources, source);
    if (user) this.users.push(user);
  }

  pageview(path) {
    this.pageviews += 1;
    add(this.pageviews_by_path, path);
  }

  event(name, props) {
    this.events += 1;
    add(this.events_by_name, name);
    if (props) this.props(name, props);
  }

  /** Values of an event's properties, each with how often it was sent. */
  props(name, props) {
    const counts = (this.props_by_event[name] ??= {});
    for (const [key, value] of Object.entries(props)) add((counts[key] ??= {}), value);
  }
}
