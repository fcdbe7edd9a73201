//! `kill -9`, twenty times each: of the processor between commit and ack and at any moment, of the collector and
//! of the whole server right after a 202. Nothing is lost, nothing counted twice, received = outcomes, rollups =
//! recount.

mod capture;
mod processor;
mod proxy;
mod support;

/// Kills of one test.
const KILLS: usize = 20;
