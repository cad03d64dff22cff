"""Other people's clients at the CloudStack of the tests: clients.py cs|libcloud ENDPOINT KEY SECRET CA"""

import base64
import sys
import time


def with_cs(endpoint, key, secret, ca):
    from cs import CloudStack, CloudStackApiException

    cloud = CloudStack(endpoint=endpoint, key=key, secret=secret, verify=ca, poll_interval=0.05)
    zone = cloud.listZones()["zone"][0]
    iso = cloud.listIsos(isofilter="executable", fetch_list=True)[0]
    made = cloud.deployVirtualMachine(
        zoneid=zone["id"], serviceofferingid="so-1", templateid=iso["id"], hypervisor="KVM", diskofferingid="do-1",
        name="by-cs", displayname="made by cs", userdata=base64.b64encode(b"#lotse-v1\nx=1\n").decode(),
        fetch_result=True,
    )["virtualmachine"]
    assert made["state"] == "Running", made
    address = cloud.listPublicIpAddresses(fetch_list=True)[0]
    cloud.createPortForwardingRule(
        ipaddressid=address["id"], protocol="tcp", publicport=2222, privateport=22, virtualmachineid=made["id"],
        fetch_result=True,
    )
    opened = cloud.createFirewallRule(
        ipaddressid=address["id"], protocol="tcp", startport=2222, endport=2222, cidrlist="0.0.0.0/0", fetch_result=True,
    )["firewallrule"]
    assert len(cloud.listVirtualMachines(fetch_list=True)) == 1
    try:
        cloud.startVirtualMachine(id="no-such-machine")
    except CloudStackApiException as error:
        assert error.error["errorcode"] == 431, error.error
    else:
        raise AssertionError("a machine that is not there was started")
    console = cloud.createConsoleEndpoint(virtualmachineid=made["id"])["consoleendpoint"]
    assert console["success"] and console["url"].startswith("https://"), console
    cloud.deleteFirewallRule(id=opened["id"], fetch_result=True)
    cloud.destroyVirtualMachine(id=made["id"], expunge=True, fetch_result=True)
    try:
        CloudStack(endpoint=endpoint, key=key, secret=secret + "x", verify=ca).listZones()
    except CloudStackApiException as error:
        assert error.error["errorcode"] == 401, error.error
    else:
        raise AssertionError("a wrong signature was taken")


def with_libcloud(endpoint, key, secret, ca):
    import libcloud.security
    from libcloud.compute.providers import get_driver
    from libcloud.compute.types import Provider

    libcloud.security.CA_CERTS_PATH = ca
    driver = get_driver(Provider.CLOUDSTACK)(key, secret, url=endpoint)
    driver.connection.poll_interval = 0.05
    driver.connection.async_poll_frequency = 0.05
    location = driver.list_locations()[0]
    size = driver.list_sizes()[0]
    image = driver.list_images()[0]
    network = driver.ex_list_networks()[0]
    node = driver.create_node(
        name="by-libcloud", size=size, image=image, location=location, networks=[network], ex_userdata="#lotse-v1",
    )
    assert [found.name for found in driver.list_nodes()] == ["by-libcloud"]
    address = driver.ex_list_public_ips()[0]
    driver.ex_create_port_forwarding_rule(node, address, 22, 2222, "TCP", openfirewall=False)
    driver.ex_create_firewall_rule(address, "0.0.0.0/0", "TCP", start_port=2222, end_port=2222)
    for rule in driver.ex_list_firewall_rules():
        driver.ex_delete_firewall_rule(rule)
    assert driver.ex_stop(node) is not None
    assert driver.destroy_node(node, ex_expunge=True)
    for _ in range(50):
        if not driver.list_nodes():
            return
        time.sleep(0.05)
    raise AssertionError("the machine does not go")


if __name__ == "__main__":
    {"cs": with_cs, "libcloud": with_libcloud}[sys.argv[1]](*sys.argv[2:])
