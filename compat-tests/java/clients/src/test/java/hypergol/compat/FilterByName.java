package hypergol.compat;

import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.PostDiscoveryFilter;

/** Leaves only the tests whose class.method contains the text of COMPAT_FILTER. */
public final class FilterByName implements PostDiscoveryFilter {
    private final String wanted = System.getenv("COMPAT_FILTER");

    @Override
    public FilterResult apply(TestDescriptor test) {
        if (wanted == null || wanted.isEmpty() || !test.isTest()) {
            return FilterResult.included("no filter");
        }
        String name = test.getSource()
            .filter(MethodSource.class::isInstance)
            .map(MethodSource.class::cast)
            .map(m -> m.getClassName() + "." + m.getMethodName())
            .orElse(test.getDisplayName());
        return FilterResult.includedIf(name.contains(wanted));
    }
}
