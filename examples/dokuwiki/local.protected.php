<?php
// For DokuWiki's conf directory. DokuWiki signs in whoever sends u and p with any
// request, even in the middle of somebody else's session, and then acts for them.
// Who is signed in already has to sign out first; so the gateway and DokuWiki see
// the same user.
foreach (array_keys($_COOKIE) as $name) {
    if (strncmp($name, 'DW', 2) === 0) {
        unset($_REQUEST['u'], $_GET['u'], $_POST['u']);
    }
}
