package hypergol.compat;

import org.mockito.invocation.InvocationOnMock;
import org.mockito.stubbing.Answer;

/** Answer of a stand-in to every call that no request to the server can serve. */
final class Unsupported implements Answer<Object> {
    private final String what;

    Unsupported(String what) {
        this.what = what;
    }

    @Override
    public Object answer(InvocationOnMock call) {
        if (call.getMethod().getName().equals("toString")) {
            return "remote " + what;
        }
        throw new UnsupportedOperationException(
            "only inside the server's process: " + what + "." + call.getMethod().getName());
    }
}
