//! Consoles of virtual machines: a real server, a real agent on a fake host whose virsh is the real one, and a real VNC server on a socket.

mod screen;
mod serial;
pub(crate) mod site;

on_both_engines! {
    screen { a_screen_is_seen_through_the_agent_of_its_host, }
    serial { what_a_machine_prints_is_kept_and_read, }
}
