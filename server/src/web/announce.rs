//! What a server prints at its start: where it is, and what to do with it.

use crate::admin::CreatedProject;

/// Prints the addresses, the script tag, and for a demo all that is needed to try it.
pub(crate) fn announce(url: &str, demo: Option<&CreatedProject>) {
    let key = demo.map_or("wk_…", |demo| &demo.write_key);
    println!();
    println!("  Tallymark is at   {url}");
    if let Some(demo) = demo {
        println!("  Demo shop         {url}/demo/   click around, then ask for today's numbers below");
        println!("  Write key         {}", demo.write_key);
        println!("  Read token        {}", demo.token);
    } else {
        println!("  Make a project    tallymark project create \"My site\"");
    }
    println!("  Script tag        <script async src=\"{url}/t.js\" data-write-key=\"{key}\"></script>");
    if let Some(demo) = demo {
        println!();
        println!("  curl -s {url}/api/v1/query -H 'Authorization: Bearer {}' \\", demo.token);
        println!(
            "    -d '{{\"project\":\"{}\",\"metrics\":[\"visitors\",\"pageviews\",\"events\"],",
            demo.id
        );
        println!("         \"date_range\":\"day\",\"dimensions\":[\"event:page\"]}}'");
    }
    println!();
}
