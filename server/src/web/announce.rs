//! What a server prints at its start: where it is, and what to do with it.

use std::io::Write as _;

use crate::admin::CreatedProject;

/// Prints the addresses, the script tag, and for a demo all that is needed to try it.
pub(crate) fn announce(url: &str, demo: Option<&CreatedProject>) {
    let mut text = format!("\n  Tallymark is at   {url}\n");
    let key = demo.map_or("wk_…", |demo| &demo.write_key);
    match demo {
        Some(demo) => {
            text += &format!(
                "  Demo shop         {url}/demo/   click around, then ask for today's numbers below\n"
            );
            text += &format!("  Write key         {}\n", demo.write_key);
            text += &format!("  Read token        {}\n", demo.token);
        }
        None => text += "  Make a project    tallymark project create \"My site\"\n",
    }
    text += &format!(
        "  Script tag        <script async src=\"{url}/t.js\" data-write-key=\"{key}\"></script>\n\n"
    );
    if let Some(demo) = demo {
        let query = format!(
            "{{\"project\":\"{}\",\"metrics\":[\"visitors\",\"pageviews\",\"events\"],\n         \
             \"date_range\":\"day\",\"dimensions\":[\"event:page\"]}}",
            demo.id
        );
        text += &format!("  curl -s {url}/api/v1/query -H 'Authorization: Bearer {}' \\\n", demo.token);
        text += &format!("    -d '{query}'\n\n");
    }
    // Whoever reads it may be gone (`| head`): a server serves all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
