//! The ordering audit: no reply before the sync that covers its frames.

use std::time::Duration;

use super::form;
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::trace::{Trace, traced};
use crate::harness::{TestApp, needs};

#[test]
fn no_reply_precedes_the_sync_of_its_frames() {
    if !needs("strace") {
        return;
    }
    let (builder, file) = traced(TestApp::github(), None);
    let app = builder.start();
    let id = app.process.id();
    let load = Load::start(app.address, 8);
    let goal = form(300, 10_000);
    load.wait_for_more(goal, form(Duration::from_secs(60), Duration::from_secs(900)));
    let sent = load.finish();
    let builder = app.stop();
    let trace = Trace::read(&file, id);
    let audited = trace.assert_synced_before_replies(&sent);
    assert!(audited >= goal, "{audited} replies were audited");
    assert_nothing_lost(&builder.database(), &sent);
}
