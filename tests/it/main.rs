//! System tests that need no machine.

mod api;
